var order = ["b-first"];
function add(name) {
  order.push(name);
}
