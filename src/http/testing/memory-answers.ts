import type { AnswerKeeper, KeptAnswer } from '../idempotency.ts';

/** Keeps the contract of `AnswerKeeper` in memory. */
export function memoryAnswers(): AnswerKeeper {
  const rows = new Map<string, { question: string; answer: KeptAnswer | null }>();
  return {
    claim: async (key, question) => {
      const row = rows.get(key);
      if (row === undefined) {
        rows.set(key, { question, answer: null });
        return { kind: 'new' };
      }
      if (row.question !== question) return { kind: 'other-question' };
      return row.answer === null ? { kind: 'running' } : { kind: 'done', answer: row.answer };
    },
    keep: async (key, answer) => {
      const row = rows.get(key);
      if (row !== undefined) rows.set(key, { ...row, answer });
    },
    drop: async (key) => {
      rows.delete(key);
    },
  };
}
