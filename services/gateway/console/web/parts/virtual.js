// Long lists: only the rows in sight are in the page, whatever the list's length.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";

const OVERSCAN = 10;

/**
 * Which rows of a list with rows of one height are in sight of its scrolling box.
 * @param {number} count @param {number} height of a row, px
 * @returns {{box: any, from: number, to: number, above: number, below: number, show: (index: number) => void}}
 */
export function useVirtual(count, height) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const [range, setRange] = useState({ from: 0, to: 40 });
  const frame = useRef(0);
  const look = useCallback(() => {
    const place = box.current;
    if (!place) return;
    const from = Math.max(0, Math.floor(place.scrollTop / height) - OVERSCAN);
    const to = Math.min(count, Math.ceil((place.scrollTop + place.clientHeight) / height) + OVERSCAN);
    setRange((before) => (before.from === from && before.to === to ? before : { from, to }));
  }, [count, height]);
  useLayoutEffect(look, [look]);
  useEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const scrolled = () => {
      cancelAnimationFrame(frame.current);
      frame.current = requestAnimationFrame(look);
    };
    const sized = new ResizeObserver(look);
    place.addEventListener("scroll", scrolled, { passive: true });
    sized.observe(place);
    return () => {
      place.removeEventListener("scroll", scrolled);
      sized.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, [look]);
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
  const from = Math.min(range.from, count);
  const to = Math.min(range.to, count);
  return { box, from, to, above: from * height, below: (count - to) * height, show };
}
