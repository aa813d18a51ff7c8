import { call, element, signInFromAddress } from '/assets/session.js';

const main = document.getElementById('methods');
const filter = document.getElementById('filter');

/** An example of a schema, to begin with. */
function example(schema) {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf[0]);
  if (schema.oneOf) return example(schema.oneOf[0]);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'object') {
    const required = (schema.required ?? []).map((name) => [name, example(schema.properties[name])]);
    return Object.fromEntries(required);
  }
  if (type === 'array') return schema.prefixItems ? schema.prefixItems.map(example) : [];
  return { boolean: false, integer: 0, number: 0, string: '' }[type] ?? null;
}

function entry(method) {
  const details = element('details', undefined, { id: method.name });
  const summary = element('summary');
  summary.append(element('code', method.name), ' ', element('small', method.summary));
  details.append(summary);
  details.addEventListener('toggle', () => details.children.length === 1 && fill(details, method), { once: true });
  details.dataset.text = `${method.name} ${method.description}`.toLowerCase();
  return details;
}

function fill(details, method) {
  const required = method.params.filter((param) => param.required);
  const given = Object.fromEntries(required.map((param) => [param.name, example(param.schema)]));
  const input = element('textarea', JSON.stringify(given, null, 2), { rows: 4, 'aria-label': `parameters of ${method.name}` });
  const output = element('pre', '');
  const button = element('button', 'Call');
  button.addEventListener('click', async () => {
    try {
      output.textContent = JSON.stringify(await call(method.name, JSON.parse(input.value)), null, 2);
    } catch (error) {
      output.textContent = `${error.code ?? error.name}: ${error.message}`;
    }
  });
  const schemas = element('details');
  schemas.append(
    element('summary', 'Schemas'),
    element('pre', JSON.stringify({ params: method.params, result: method.result.schema }, null, 2)),
  );
  details.append(
    element('p', method.description),
    element('pre', method['x-wit'].function),
    element('p', `Needs the scope ${method['x-scope']}.`),
    schemas, input, button, output,
  );
}

filter.addEventListener('input', () => {
  const wanted = filter.value.toLowerCase();
  for (const details of main.querySelectorAll('main > details')) details.hidden = !details.dataset.text.includes(wanted);
});

await signInFromAddress();
const response = await fetch('/openrpc.json');
if (response.ok) {
  let owner;
  for (const method of (await response.json()).methods) {
    if (method.tags[0].name !== owner) main.append(element('h2', owner = method.tags[0].name));
    main.append(entry(method));
  }
} else {
  main.append(element('p', 'Sign in on the first page to see the methods.'));
}
