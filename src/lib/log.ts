/** Takes the lines of a long work as they come. A line has no newline at its end and no secret in it. */
export type LogLine = (line: string) => void;

export const noLog: LogLine = () => undefined;
