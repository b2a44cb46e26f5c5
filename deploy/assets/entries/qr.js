// QR codes: loaded only where a second factor is set up.
export { encodeQR } from "qr";
