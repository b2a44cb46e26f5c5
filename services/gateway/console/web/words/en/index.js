// All words in English.
import admin from "./admin.js";
import audit from "./audit.js";
import autopilot from "./autopilot.js";
import backups from "./backups.js";
import board from "./board.js";
import me from "./me.js";
import adminMore from "./admin_more.js";
import common from "./common.js";
import deliveries from "./deliveries.js";
import jobs from "./jobs.js";
import overview from "./overview.js";
import signIn from "./sign_in.js";
import verdict from "./verdict.js";

export default { ...common, ...adminMore, ...me, ...admin, ...audit, ...autopilot, ...backups, ...board, ...deliveries, ...jobs, ...overview, ...signIn, ...verdict };
