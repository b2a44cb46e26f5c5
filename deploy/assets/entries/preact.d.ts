import { h } from "preact";
export { h, render, Component, createContext, Fragment } from "preact";
export { useCallback, useContext, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
export const html: (strings: TemplateStringsArray, ...values: any[]) => any;
