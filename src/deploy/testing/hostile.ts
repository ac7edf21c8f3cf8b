/** Names as somebody who means harm would choose them. */
export const HOSTILE = ['../../etc/passwd', '$(reboot);`id`', '--privileged', 'a b\n"c"', 'ünï ☃', 'x'.repeat(300)];
