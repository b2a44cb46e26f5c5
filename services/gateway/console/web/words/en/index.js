// All words in English.
import board from "./board.js";
import admin from "./admin.js";
import common from "./common.js";
import jobs from "./jobs.js";
import overview from "./overview.js";
import signIn from "./sign_in.js";

export default { ...common, ...admin, ...board, ...jobs, ...overview, ...signIn };
