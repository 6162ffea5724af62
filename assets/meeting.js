// The break-even: recomputed whenever a field changes; what cannot be known yet stays open.
const field = (name) => document.getElementById(name);
const read = (name) => field(name).value === '' ? NaN : Number(field(name).value);
const format = (value) => value > 0 && value < 0.01 ? '< 0.01' : value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: 2 });
const write = (name, value) => {
  const never = field('break-even').dataset.never;
  field(name).textContent = Number.isNaN(value) ? '…' : Number.isFinite(value) ? format(value) : never;
};
const update = () => {
  const api = read('api_price') * read('volume'), own = read('machine_price') * read('machine_hours'), saved = api - own;
  write('api_cost', api); write('own_cost', own);
  write('equal_volume', own / read('api_price'));
  write('payback', saved > 0 ? read('training_cost') / saved : Number.isNaN(saved) ? NaN : Infinity);
};
const today = () => { const now = new Date(); return new Date(now - 60000 * now.getTimezoneOffset()).toISOString().slice(0, 10); };
for (const input of document.querySelectorAll('#break-even input')) {
  input.addEventListener('input', () => { if (input.id.endsWith('_price') && !field('as_of').value) field('as_of').value = today(); update(); });
}
update();
