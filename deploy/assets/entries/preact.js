// What every page uses: components, hooks, and templates instead of JSX.
import { h } from "preact";
import htm from "htm";

export { h, render, Component, createContext, Fragment } from "preact";
export { useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html = htm.bind(h);
