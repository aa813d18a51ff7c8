// The middle of the chain, in JavaScript.

import { current } from 'midplane:host/context@0.2.0';
import { fail, pass } from 'test:chain-py/chain-py@0.1.0';

// What an import throws carries the error value.
const valueOf = (thrown) => thrown?.payload ?? thrown;

export const chainJs = {
  pass(stations) {
    const { principal, scopes, plugin, requestId, remainingMs } = current();
    const station = { plugin: 'chain-js', principal, scopes, caller: plugin, requestId, remainingMs };
    return pass([...stations, station]);
  },

  fail(way) {
    try {
      return fail(way);
    } catch (thrown) {
      const error = valueOf(thrown);
      if (error.code === 'plugin_failed') {
        return `chain-js saw ${error.code}`;
      }
      throw error;
    }
  },
};
