{
  const { imports, integrity, external } = MAP;
  const script = document.currentScript;
  const at = (path) => new URL(path, script.src).href;
  const map = document.createElement("script");
  map.type = "importmap";
  map.nonce = script.nonce;
  const table = { imports: { ...external }, integrity: {} };
  for (const stable in imports) table.imports[at(stable)] = at(imports[stable]);
  for (const file in integrity) table.integrity[at(file)] = integrity[file];
  map.textContent = JSON.stringify(table);
  script.after(map);
}
