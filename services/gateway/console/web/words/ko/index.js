// All words in Korean.
import common from "./common.js";
import overview from "./overview.js";
import signIn from "./sign_in.js";

export default { ...common, ...overview, ...signIn };
