import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Unauthorized } from "./api";

export interface Polled<T> {
  value?: T;
  error?: Error;
}

// usePoll asks at a fixed pace. A question is left out while the last one waits
// for its answer, and while nobody looks.
export function usePoll<T>(path: string, seconds: number, unauthorized: () => void): Polled<T> {
  const [polled, set] = useState<Polled<T>>({});
  const waits = useRef(false);
  useEffect(() => {
    let over = false;
    waits.current = false;
    async function look() {
      if (waits.current || document.hidden || path === "") return;
      waits.current = true;
      try {
        const value = await ask<T>(path);
        if (!over) set({ value });
      } catch (error) {
        if (over) return;
        if (error instanceof Unauthorized) unauthorized();
        else set((before) => ({ ...before, error: error as Error }));
      } finally {
        if (!over) waits.current = false;
      }
    }
    void look();
    const timer = setInterval(look, seconds * 1000);
    document.addEventListener("visibilitychange", look);
    return () => {
      over = true;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [path, seconds]);
  return polled;
}
