// Calls an async function without knowing it, in JavaScript.

import { plain, waits } from 'test:colours/colours@0.1.0';

export const coloursJs = { plain, waits };
