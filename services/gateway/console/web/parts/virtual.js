// Long lists: only the rows in sight are in the page, whatever the list's length. Rows stand at places of their own, so
// that those which stay are neither laid out nor painted again when others come and go.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";

const OVERSCAN = 10;
const FAST_ROWS = 4; // in one frame: nobody reads these, nor could use what is in them
const SETTLED_MS = 100;

/**
 * Which rows of a list with rows of one height are in sight of its scrolling box. `fast`: they fly past, so those that
 * come may be drawn simply until that ends.
 * @param {number} count @param {number} height of a row, px
 * @returns {{box: any, from: number, to: number, fast: boolean, show: (index: number) => void}}
 */
export function useVirtual(count, height) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [range, setRange] = useState({ from: 0, to: 40, fast: false });
  const high = useRef(0); // of the box, px: reading it while scrolling could cost a layout
  const last = useRef(0); // where it was scrolled to, px
  const settling = useRef(0);
  const look = useCallback(() => {
    const place = box.current;
    if (!place) return;
    const top = place.scrollTop;
    const from = Math.max(0, Math.floor(top / height) - OVERSCAN);
    const to = Math.min(count, Math.ceil((top + high.current) / height) + OVERSCAN);
    const fast = Math.abs(top - last.current) > FAST_ROWS * height;
    last.current = top;
    if (fast) {
      clearTimeout(settling.current);
      settling.current = window.setTimeout(() => setRange((before) => ({ ...before, fast: false })), SETTLED_MS);
    }
    setRange((before) => (before.from === from && before.to === to && !fast ? before : { from, to, fast: fast || before.fast }));
  }, [count, height]);
  useLayoutEffect(() => {
    high.current = box.current?.clientHeight ?? 0;
    look();
  }, [look]);
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    let frame = 0;
    const scrolled = () => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        look();
      });
    };
    const sized = new ResizeObserver(([entry]) => {
      high.current = entry.target.clientHeight;
      look();
    });
    place.addEventListener("scroll", scrolled, { passive: true });
    sized.observe(place);
    return () => {
      place.removeEventListener("scroll", scrolled);
      sized.disconnect();
      cancelAnimationFrame(frame);
    };
  }, [look]);
  // Only when the list goes: whoever makes it longer or shorter meanwhile must not keep it from settling.
  useEffect(() => () => clearTimeout(settling.current), []);
  const show = useCallback(
    (/** @type {number} */ index) => {
      const place = box.current;
      if (!place) return;
      const top = index * height;
      const head = /** @type {HTMLElement|null} */ (place.querySelector("thead"))?.offsetHeight ?? 0;
      if (top < place.scrollTop) place.scrollTop = top;
      else if (top + height > place.scrollTop + place.clientHeight - head) place.scrollTop = top + height - place.clientHeight + head;
    },
    [height],
  );
  return { box, from: Math.min(range.from, count), to: Math.min(range.to, count), fast: range.fast, show };
}
