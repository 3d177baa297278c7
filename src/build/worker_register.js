"serviceWorker" in navigator && addEventListener("load", async () => {
  const workers = navigator.serviceWorker;
  const registration = await workers.register("/NAME", { updateViaCache: "none" });
  const tell = (worker) => {
    if (worker?.state !== "installed" || !workers.controller) return;
    const apply = () => {
      workers.addEventListener("controllerchange", () => location.reload(), { once: true });
      worker.postMessage("fingerpost:apply");
    };
    dispatchEvent(new CustomEvent("fingerpost:update", { detail: { apply } }));
  };
  tell(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => tell(worker));
  });
});
