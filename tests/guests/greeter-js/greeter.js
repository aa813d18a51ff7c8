// Greets, in JavaScript. QuickJS has no Web APIs, so bytes of the storage are made by hand; the count is ASCII.

import { get, set } from 'midplane:host/storage@0.2.0';
import { publish } from 'midplane:host/events@0.2.0';
import { write } from 'midplane:host/log@0.2.0';

const KEY = 'greetings';

function count() {
  const bytes = get(KEY);
  return bytes ? Number(String.fromCharCode(...bytes)) : 0;
}

function keep(greetings) {
  set(KEY, Uint8Array.from(String(greetings), (digit) => digit.charCodeAt(0)));
}

export const greeter = {
  greet(name) {
    if (name === '') {
      throw { code: 'invalid_params', message: 'params.name: must not be empty', details: '{"path":"params.name"}' };
    }
    const greetings = count() + 1;
    keep(greetings);
    publish('greeter_js.greeted', JSON.stringify({ name, greetings }));
    write('info', `greeted ${name}`, [['name', name]]);
    return `Hello, ${name}! (${greetings})`;
  },
};
