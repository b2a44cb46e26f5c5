// All words in Korean.
import admin from "./admin.js";
import adminMore from "./admin_more.js";
import audit from "./audit.js";
import autopilot from "./autopilot.js";
import backups from "./backups.js";
import board from "./board.js";
import checks from "./checks.js";
import common from "./common.js";
import deliveries from "./deliveries.js";
import jobs from "./jobs.js";
import me from "./me.js";
import overview from "./overview.js";
import policies from "./policies.js";
import reports from "./reports.js";
import signIn from "./sign_in.js";
import verdict from "./verdict.js";

export default { ...common, ...admin, ...adminMore, ...audit, ...autopilot, ...backups, ...board, ...checks, ...deliveries, ...jobs, ...me, ...overview, ...policies, ...reports, ...signIn, ...verdict };
