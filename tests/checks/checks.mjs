// One look at many documents. In, as JSON on stdin: {"tool": ..., "documents": {name: html}, ...the tool's options}.
// Out, as JSON on stdout: {name: [finding, ...]}, a finding being {rule, message, where}.
import { readFileSync } from "node:fs";

const TOOLS = { "html-validate": validate, axe, caniemail: canIEmail, "doiuse-email": doIUseEmail };

async function validate({ config }) {
  const { HtmlValidate, StaticConfigLoader } = await import("html-validate");
  const validator = new HtmlValidate(new StaticConfigLoader(config));
  return async (html) => {
    const { results } = await validator.validateString(html);
    return results.flatMap(({ messages }) =>
      messages.map((each) => ({
        rule: each.ruleId,
        message: each.message,
        where: `${each.selector ?? "line " + each.line}`,
      })),
    );
  };
}

// jsdom lays nothing out, so contrast is looked at in a real browser only.
async function axe() {
  const { default: engine } = await import("axe-core");
  const { JSDOM } = await import("jsdom");
  return async (html) => {
    const { window } = new JSDOM(html, { runScripts: "outside-only" });
    window.eval(engine.source);
    const { violations } = await window.axe.run(window.document, {
      resultTypes: ["violations"],
      rules: { "color-contrast": { enabled: false } },
    });
    window.close();
    return violations.flatMap(({ id, impact, help, nodes }) =>
      nodes.map(({ target }) => ({ rule: id, message: `${impact}: ${help}`, where: target.join(" ") })),
    );
  };
}

async function canIEmail({ clients }) {
  const { caniemail } = await import("caniemail");
  return (html) => {
    const { issues } = caniemail({ clients, html });
    return [...issues.errors].flatMap(([client, found]) =>
      found.map(({ title, position }) => ({ rule: title, message: client, where: `line ${position?.start.line}` })),
    );
  };
}

async function doIUseEmail({ clients }) {
  const { doIUseEmail: ask } = await import("doiuse-email");
  return (html) =>
    ask(html, { emailClients: clients }).errors.map((message) => {
      const [, rule, client] = message.match(/`(.*)` is not supported by `([^`]*)`/s) ?? [null, message, ""];
      return { rule, message: client, where: "" };
    });
}

const { tool, documents, ...options } = JSON.parse(readFileSync(0, "utf-8"));
const look = await TOOLS[tool](options);
const found = {};
for (const [name, html] of Object.entries(documents)) found[name] = await look(html);
process.stdout.write(JSON.stringify(found));
