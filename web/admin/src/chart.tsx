import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { ChartData } from "./api";
import { written } from "./numbers";
import type { Words } from "./words";

const height = 180;

// powers are the steps of an axis of bytes.
const powers = Array.from({ length: 50 }, (_, i) => 2 ** i);

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// table puts the lines on one row of times.
function table(c: ChartData): uPlot.AlignedData {
  const longest = c.data.reduce((a, b) => (b.values.length > a.values.length ? b : a), c.data[0]);
  const times = longest.values.map((_, i) => longest.start + i * longest.step);
  return [times, ...c.data.map((d) => times.map((_, i) => d.values[i] ?? null))] as uPlot.AlignedData;
}

function options(c: ChartData, t: Words, width: number): uPlot.Options {
  const axis = { stroke: color("--muted"), grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width,
    height,
    cursor: { y: false, sync: { key: "all" } },
    legend: { live: true },
    scales: { y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.08 : 1] } },
    axes: [
      { ...axis, values: "{HH}:{mm}:{ss}", space: 80 },
      { ...axis, size: 62, incrs: c.unit.startsWith("bytes") ? powers : undefined, values: (_u, ticks) => ticks.map((v) => written(v, c.unit)) },
    ],
    series: [
      { label: t("time"), value: "{HH}:{mm}:{ss}" },
      ...c.lines.map((l, i) => ({
        label: t("line." + l.id, l.id),
        stroke: color(`--line${i % 4}`),
        width: 1.5,
        points: { show: false },
        value: (_u: uPlot, v: number | null) => written(v, c.unit),
      })),
    ],
  };
}

// showLast lets the legend tell the newest values while nobody points at any.
function showLast(u: uPlot | undefined) {
  if (!u || (u.cursor.left ?? -1) >= 0) return;
  let idx = u.data[0].length - 1;
  while (idx > 0 && u.data.slice(1).every((line) => line[idx] == null)) idx--;
  if (idx >= 0) u.setLegend({ idx });
}

// Chart draws one chart with the lines' values; look is what it has to be drawn
// anew for.
export function Chart({ chart, t, look }: { chart: ChartData; t: Words; look: string }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const empty = chart.data.every((d) => d.values.every((v) => v == null));
  useEffect(() => {
    const el = box.current!;
    const made = new uPlot(options(chart, t, el.clientWidth || 300), table(chart), el);
    plot.current = made;
    el.addEventListener("pointerleave", () => showLast(made));
    showLast(made);
    const watch = new ResizeObserver(() => made.setSize({ width: el.clientWidth || 300, height }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [look, chart.id]);
  useEffect(() => {
    plot.current?.setData(table(chart));
    showLast(plot.current);
  }, [chart]);
  return (
    <figure class="panel chart" data-chart={chart.id}>
      <figcaption>{t("chart." + chart.id, chart.title)}</figcaption>
      <div ref={box} />
      {empty && <p class="empty">{t("noData")}</p>}
    </figure>
  );
}
