"""DOOR: the demonstration. A sample news site, the readers' mailbox, and the whole job walked through once."""
