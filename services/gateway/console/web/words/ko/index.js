// All words in Korean.
import board from "./board.js";
import common from "./common.js";
import overview from "./overview.js";
import signIn from "./sign_in.js";

export default { ...common, ...board, ...overview, ...signIn };
