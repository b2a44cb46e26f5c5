// Signing in.
export default {
  "sign-in.title": "Sign in to Headgate",
  "sign-in.with": "Sign in with {name}",
  "sign-in.password": "Password",
  "sign-in.token": "Token",
  "sign-in.username": "Name",
  "sign-in.code": "Code of your app, if you have a second factor",
  "sign-in.token.field": "Token",
  "sign-in.token.hint": "It is exchanged for a session of this browser and kept nowhere.",
  "sign-in.go": "Sign in",
  "sign-in.how": "How to sign in",
  "sign-in.again": "Your session is over. Sign in again; this page stays as it is.",
  "other-person.title": "{now} is signed in here now",
  "other-person.what": "This page was opened by {was}. {now} signed in meanwhile, in another tab of this browser, so it shows and does nothing any more. If {was} signs in again, it goes on as it was; texts that {was} did not save are kept for {was} alone.",
  "other-person.go": "Load it for {now}",
};
