// Begins again where a page could not begin: in the middle of an upgrade the gateways may have different files. A script
// of its own, as it must run when the modules don't. What begins (main.js) ends the counting.
{
  const KEY = "headgate.again";
  const WAITS_MS = [500, 2_000, 5_000, 10_000];
  window.addEventListener(
    "error",
    ({ target }) => {
      if (!(target instanceof HTMLScriptElement) && !(target instanceof HTMLLinkElement && target.rel === "stylesheet")) return;
      const tried = Number(sessionStorage.getItem(KEY));
      if (tried >= WAITS_MS.length) return;
      sessionStorage.setItem(KEY, String(tried + 1));
      setTimeout(() => window.location.reload(), WAITS_MS[tried]);
    },
    true,
  );
}
