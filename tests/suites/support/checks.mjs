// Counts what holds. Every check has its own deadline, and its failure ends no other.

const DEADLINE = 45_000;

export class Checks {
  constructor(who) {
    this.who = who;
    this.passed = 0;
    this.failed = 0;
  }

  async check(what, run) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not within ${DEADLINE / 1000} s`)), DEADLINE);
    });
    try {
      await Promise.race([run(), late]);
      this.passed += 1;
      console.log(`  ok    ${this.who}: ${what}`);
    } catch (error) {
      this.failed += 1;
      console.log(`  FAIL  ${this.who}: ${what}: ${String(error.message).replace(/\s+/g, ' ').slice(0, 400)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  // The closing line; leaves although a client may still hold something open.
  end() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    process.exit(this.failed === 0 && this.passed > 0 ? 0 : 1);
  }
}

export function expect(holds, what) {
  if (!holds) throw new Error(`expected ${what}`);
}

export const same = (mine, theirs, what) => {
  const [a, b] = [JSON.stringify(mine), JSON.stringify(theirs)];
  expect(a === b, `${what} ${b?.slice(0, 150)}, not ${a?.slice(0, 150)}`);
};

// Waits for something that becomes true, looking often; the check's deadline bounds it.
export async function until(holds, what, patience = 15_000) {
  const end = Date.now() + patience;
  while (!(await holds())) {
    expect(Date.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// What a merged list must hold: all that the servers list to everybody, and nothing that they list to nobody.
export function compareList(mine, always, sometimes) {
  const missing = always.filter((one) => !mine.includes(one));
  const strange = mine.filter((one) => !always.includes(one) && !sometimes.includes(one));
  const twice = mine.filter((one, index) => mine.indexOf(one) !== index);
  expect(missing.length === 0, `${missing.join(', ')} among ${mine.length}`);
  expect(strange.length === 0, `no ${strange.join(', ')}`);
  expect(twice.length === 0, `${twice.join(', ')} once`);
}
