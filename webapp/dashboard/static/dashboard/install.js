// Lets browsers install the pages as an app. They refuse where nobody vouches for the certificate; the pages work as well.

navigator.serviceWorker?.register("/service-worker.js").catch(() => {});
