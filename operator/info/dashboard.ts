/** The page at `/`: one file, nothing loaded from elsewhere; draws what `/topology` and `/reports` say, every second. */
export const dashboardHtml = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Edis</title>
<style>
  :root { color-scheme: light dark; --line: #8883; --quiet: #8889; --good: #2a9d5c; --busy: #c98a1b; --bad: #d2493f }
  body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.3rem; margin: 0 0 1.5rem } h1 small { color: var(--quiet); font-weight: normal; margin-left: .6em }
  h2 { font-size: 1.1rem; margin: 0 0 .5rem }
  section { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem; margin-bottom: 1.2rem }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
  th { text-align: left; font-weight: 500; color: var(--quiet) }
  th, td { padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top }
  thead th { border-top: 0 }
  .number { text-align: right }
  .pod { display: inline-block; margin: 0 .9em .1em 0; white-space: nowrap }
  .pod::before { content: ""; display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .4em; background: var(--quiet) }
  .serving::before { background: var(--good) } .copying::before, .leaving::before { background: var(--busy) } .missing::before { background: var(--bad) }
  .quiet { color: var(--quiet) }
  .move { display: grid; grid-template-columns: 9rem 1fr 14rem; gap: .8rem; align-items: center; margin: .2rem 0 } .move:last-of-type { margin-bottom: .8rem }
  .move progress { width: 100%; height: .7rem; accent-color: var(--busy) }
  .condition { margin: .15rem 0 } .condition b { font-weight: 600 } .True b { color: var(--good) } .Bad b { color: var(--bad) }
</style>
<h1>Edis <small id="state">…</small></h1>
<main></main>
<script>
  "use strict";
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };
  const slotsOf = (shard) => shard.slots.map(([from, to]) => from + "–" + to).join(", ") || "none";
  const pod = (name, member, report) => {
    const state = member === undefined ? "missing" : member.state;
    const element = make("span", "pod " + state, name);
    const lag = report && report.serving.kind === "reader" ? report.serving.lag : undefined;
    if (lag) element.append(" ", make("span", "quiet", Math.round(lag.ms) + " ms"));
    element.title = state + (member ? ", " + member.address.host + ":" + member.address.client : "") + (member && member.node ? ", node " + member.node : "");
    return element;
  };
  const draw = (topology, about) => {
    const members = new Map(topology.members.map((member) => [member.pod, member]));
    const reports = new Map(about.reports.map((report) => [report.pod, report]));
    const rows = topology.shards.map((shard) => {
      const owner = shard.owner && shard.owner.pod;
      const readers = topology.members.filter((member) => member.home === "reader" && member.shard === shard.id);
      const keys = owner && reports.get(owner) ? reports.get(owner).keys.toLocaleString() : "–";
      const who = owner ? pod(owner, members.get(owner), reports.get(owner)) : make("span", "quiet", "none yet");
      const phase = shard.phase.kind === "stable" ? "" : make("div", "quiet", shard.phase.kind);
      return make("tr", "", make("td", "", String(shard.id)), make("td", "", slotsOf(shard)), make("td", "number", String(shard.epoch)),
        make("td", "number", keys), make("td", "", who, phase),
        make("td", "", ...readers.map((member) => pod(member.pod, member, reports.get(member.pod)))));
    });
    const size = (bytes) => bytes < 1048576 ? Math.ceil(bytes / 1024) + " KiB" : Math.round(bytes / 1048576) + " MiB";
    const moves = ((about.status && about.status.rebalance && about.status.rebalance.moves) || []).map((move) => {
      const bar = make("progress");
      bar.max = Math.max(1, move.bytesInAll);
      bar.value = move.bytesInAll === 0 ? 1 : move.bytes;
      return make("div", "move", make("span", "", "shard " + move.from + " → " + move.to), bar,
        make("span", "quiet", move.slots + " slots, " + size(move.bytes) + " of " + size(move.bytesInAll) + (move.stage === "freezing" ? ", changing hands" : "")));
    });
    const heads = ["shard", "slots", "epoch", "keys", "owner", "readers"].map((name) =>
      make("th", name === "epoch" || name === "keys" ? "number" : "", name));
    const conditions = ((about.status && about.status.conditions) || []).map(({ type, status, reason, message }) =>
      make("div", "condition " + (type === "Degraded" && status === "True" ? "Bad" : type === "Ready" ? status : ""),
        make("b", "", type + ": " + status), " ", make("span", "quiet", reason + " – " + message)));
    return make("section", "", make("h2", "", topology.cluster), ...conditions, ...moves,
      make("table", "", make("thead", "", make("tr", "", ...heads)), make("tbody", "", ...rows)));
  };
  const get = async (path) => (await fetch(path, { cache: "no-store" })).json();
  const refresh = async () => {
    const state = document.querySelector("#state");
    try {
      const [{ clusters }, about] = await Promise.all([get("/topology"), get("/reports")]);
      const byName = new Map(about.clusters.map((cluster) => [cluster.cluster, cluster]));
      document.querySelector("main").replaceChildren(...clusters.map((topology) =>
        draw(topology, byName.get(topology.cluster) || { reports: [] })));
      state.textContent = clusters.length === 1 ? "1 cluster" : clusters.length + " clusters";
    } catch (error) {
      state.textContent = "the operator does not answer; shown is what was last seen";
    }
    setTimeout(refresh, 1000);
  };
  refresh();
</script>
</html>
`;
