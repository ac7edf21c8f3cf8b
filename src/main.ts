process.stderr.write('towpath: the commands arrive with the first slice\n');
