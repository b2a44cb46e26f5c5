// Starts Swagger UI on our own document. Addresses are relative, so that a proxy may put a path before them.
"use strict";

async function explore() {
  const place = document.getElementById("explorer");
  const answer = await fetch("openapi.json");
  if (!answer.ok) {
    place.textContent = `openapi.json can't be read now (status ${answer.status}); reload this page in a minute.`;
    return;
  }
  const spec = await answer.json();
  // "Try it out" asks the server that sent this page: the content security policy allows no other.
  spec.servers = [{ url: new URL(".", window.location.href).href.replace(/\/$/, "") }];
  window.SwaggerUIBundle({
    spec,
    domNode: place,
    deepLinking: true,
    docExpansion: "none", // hundreds of operations at once take a browser half a minute
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    filter: true,
    showExtensions: true, // the permission that an operation needs
    persistAuthorization: false, // the token stays in memory
    validatorUrl: null, // asks nobody outside
  });
}

explore();
