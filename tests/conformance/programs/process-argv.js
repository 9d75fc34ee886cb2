// Arguments of the program.
console.log(process.argv.slice(2));
console.log(process.argv.length, Array.isArray(process.argv));
for (const [i, arg] of process.argv.slice(2).entries())
    console.log(i, arg, arg.length);
