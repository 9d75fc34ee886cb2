// Dates in UTC.
const date = new Date(Date.UTC(2024, 1, 29, 12, 34, 56, 789));
console.log(date, date.toISOString(), date.getTime(), JSON.stringify({date}));
console.log(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate(), date.getUTCDay(), date.getUTCHours());
date.setUTCMonth(13);
console.log(date, date.toUTCString());
console.log(new Date("2024-01-01T00:00:00Z") - new Date("2023-01-01T00:00:00Z"), Date.parse("2024-06-01T00:00:00+02:00"));
console.log(new Date("nonsense"), Number.isNaN(new Date(NaN).getTime()), new Date(8.64e15), new Date(8.64e15 + 1));
console.log([new Date(0), new Date(NaN)], new Date(-1), new Date(-62198755200000));
try { new Date(NaN).toISOString(); } catch (error) { console.log(error.name); }
console.log(typeof Date.now(), new Date(2024, 0, 1) instanceof Date, typeof (new Date(0) + 1));
