"""The books: what the post office took beside what Digest believes, at every moment and over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.crash.plan import Tally
from tests.crash.post_office import PostOffice
from tests.crash.town import Sight, Town, everybody

TO_COME = ("queued", "deferred")
UNSETTLED = (*TO_COME, "sending")
_SHOWN = 5  # readers named in a complaint


class Books:
    """Of one edition. Each look compares with the last one; what is wrong goes into the tally.

    `nobody_survives`: there is one sender, and each look but the last follows its death.
    `may_learn`: a worker that was taken for dead may still tell the fate of its copies.
    """

    def __init__(
        self,
        town: Town,
        office: PostOffice,
        tally: Tally,
        *,
        senders: int = 1,
        nobody_survives: bool = False,
        may_learn: bool = False,
    ) -> None:
        self.tally = tally
        self.place = ""  # where in the run we are, for complaints
        self.last = Sight("drafted", {}, Counter())
        self.resent = False  # the uncertain copies go out once more, so that some readers have two
        self._town = town
        self._office = office
        self._senders = senders
        self._nobody_survives = nobody_survives
        self._may_learn = may_learn
        self._everybody = {str(each) for each in everybody(tally.plan.readers)}

    def look(self, *, at_rest: bool = False) -> Sight:
        """Check what must hold at any moment. `at_rest`: nobody lives, and what they left must not be touched."""
        if at_rest:
            self._office.wait_until_empty()
        self._office.look()
        taken_before = set(self._office.copies)
        sight = self._town.look(at_rest=at_rest)
        self._office.look()
        if sight.rows or sight.state not in ("drafted", "approved"):
            self._compare(sight, taken_before)
            if not self.resent:
                self._follow(sight)
        self.last = sight
        return sight

    def look_after_kill(self) -> int:
        """Look at what a kill left; returns how many copies are of unknown fate by it."""
        before = self.last.readers("sending", "uncertain")
        unknown = len(self.look(at_rest=True).readers("sending", "uncertain") - before)
        self.unknown(unknown)
        return unknown

    def unknown(self, number: int) -> None:
        """So many copies became uncertain by one kill."""
        self.tally.most = max(self.tally.most, number)
        if number > self.tally.plan.most_unknown:
            self.complain(f"{number} copies of unknown fate by one kill; {self.tally.plan.most_unknown} are allowed")

    def close(self) -> Sight:
        """The edition is finished: everybody has one copy, or is uncertain."""
        sight = self.look()
        self._complain_of(sight.readers(*UNSETTLED), "not settled at the end", sight)
        if sight.state != "sent":
            self.complain(f"the edition is {sight.state} at the end")
        self.tally.editions += 1
        self.tally.sent += sight.counts["sent"]
        self.tally.uncertain += sight.counts["uncertain"]
        self.tally.lost += len(self._lost(sight))
        self.tally.twice += len(self._twice())
        return sight

    def close_again(self, uncertain: set[str]) -> None:
        """The uncertain ones were sent again: now everybody has a copy, and a second one is the same message."""
        sight = self.look()
        self._complain_of(self._everybody - sight.readers("sent"), "not sent after resend --uncertain", sight)
        self._complain_of(self._everybody - set(self._office.copies), "without a copy after all", sight)
        others = {reader for reader in self._twice() if reader not in uncertain or self._office.copies[reader] > 2}
        self._complain_of(others, "mailed again by resend --uncertain", sight)

    def complain(self, words: str) -> None:
        """Write a violation down."""
        plan = self.tally.plan
        self.tally.wrongs.append(f"{plan.scenario}, {plan.database}, seed {plan.seed}, {self.place}: {words}")

    def _compare(self, sight: Sight, taken_before: set[str]) -> None:
        """The sight with the record as it was before (`taken_before`) and is now."""
        if set(sight.rows) != self._everybody or sight.counted != len(self._everybody):
            self.complain(f"{len(sight.rows)} rows, {sight.counted} counted for {len(self._everybody)} readers")
        self._complain_of(sight.readers("sent") - set(self._office.copies), "sent, but not in the record", sight)
        self._complain_of(self._lost(sight), "lost", sight)
        several = {reader for reader, ids in self._office.ids.items() if len(ids) > 1}
        self._complain_of(several, "got copies with different Message-IDs", sight)
        if not self.resent:
            self._complain_of(self._twice(), "mailed twice", sight)
            self._complain_of(taken_before & sight.readers(*TO_COME), "in the record, and to be mailed again", sight)
        held = sight.counts["sending"] - len(sight.readers("sending") & self.last.readers("sending"))
        if held > self._senders * self.tally.plan.most_unknown:
            self.complain(f"{held} rows are `sending` at once")

    def _follow(self, sight: Sight) -> None:
        """What may follow what: nobody who is settled comes back unasked, and no unknown fate is guessed."""
        lasting = ["sent"] if self._may_learn else ["sent", "uncertain"]
        for state in lasting:
            moved = self.last.readers(state) - sight.readers(state)
            self._complain_of(moved, f"were {state}, and are no longer", sight)
        if self._nobody_survives:
            moved = self.last.readers("sending") - sight.readers("sending", "uncertain")
            self._complain_of(moved, "were on the wire at a kill, and their fate is guessed", sight)

    def _lost(self, sight: Sight) -> set[str]:
        return self._everybody - set(self._office.copies) - sight.readers(*UNSETTLED, "uncertain")

    def _twice(self) -> set[str]:
        return {reader for reader, copies in self._office.copies.items() if copies > 1}

    def _complain_of(self, readers: Iterable[str], words: str, sight: Sight) -> None:
        found = sorted(readers)
        if found:
            some = ", ".join(f"{each} ({sight.rows.get(each)})" for each in found[:_SHOWN])
            self.complain(f"{len(found)} {words}: {some}")
