// Begins again where a page could not begin: in the middle of an upgrade the gateways may have different files. A script
// of its own, as it must run when the modules don't. What begins (main.js) ends the counting.
{
  const KEY = "headgate.again";
  const WAITS_MS = [500, 2_000, 5_000, 10_000]; // the last one again and again
  const TEXTS = ["The console can't be loaded just now; trying again.", "지금은 콘솔을 불러올 수 없습니다. 다시 시도합니다."];
  let begun = false; // one try a load, however many of its files are missing
  const again = () => {
    if (begun) return;
    begun = true;
    const tried = Number(sessionStorage.getItem(KEY));
    sessionStorage.setItem(KEY, String(tried + 1));
    setTimeout(() => window.location.reload(), WAITS_MS[Math.min(tried, WAITS_MS.length - 1)]);
    const place = document.getElementById("console");
    if (tried >= 2 && place) place.textContent = TEXTS.join(" ");
  };
  window.addEventListener(
    "error",
    ({ target }) => {
      if (target instanceof HTMLScriptElement || (target instanceof HTMLLinkElement && target.rel === "stylesheet")) again();
    },
    true,
  );
  // What is loaded later than the page's own files, such as words, is no element that could fail.
  window.addEventListener("headgate-again", again);
}
