// How numbers are written.

const letters = ["", "k", "M", "G", "T"];

function scaled(v: number, base: number, suffixes: string[]): string {
  let i = 0;
  while (Math.abs(v) >= base && i < suffixes.length - 1) {
    v /= base;
    i++;
  }
  const digits = Math.abs(v) >= 100 || Number.isInteger(v) ? 0 : Math.abs(v) >= 10 ? 1 : 2;
  return v.toFixed(digits) + suffixes[i];
}

const binary = [" B", " KiB", " MiB", " GiB", " TiB"];

// written is a number with its unit, as short as can be.
export function written(v: number | null | undefined, unit = ""): string {
  if (v == null) return "–";
  switch (unit) {
    case "bytes":
      return scaled(v, 1024, binary);
    case "bytes/s":
      return scaled(v, 1024, binary) + "/s";
    case "s":
      return duration(v);
    case "s/s":
      return (v * 100).toFixed(v < 0.1 ? 1 : 0) + "%";
    case "/s":
      return scaled(v, 1000, letters) + "/s";
    default:
      return scaled(v, 1000, letters);
  }
}

export function duration(s: number): string {
  if (s === 0) return "0 s";
  if (s < 1e-3) return (s * 1e6).toFixed(0) + " µs";
  if (s < 1) return (s * 1e3).toFixed(s < 0.01 ? 2 : s < 0.1 ? 1 : 0) + " ms";
  return s.toFixed(s < 10 ? 2 : 0) + " s";
}

export function clock(unix: number): string {
  return new Date(unix * 1000).toLocaleTimeString([], { hour12: false });
}
