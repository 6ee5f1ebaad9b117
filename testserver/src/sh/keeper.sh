# Runs a program and ends it after the process that started it has ended, for any reason.
#
# Arguments: the signal that ends the program, the file for its output, the program, its arguments.
# Standard input: one signal name per line, to send to the program. Only the starting process can
# write to this pipe, so the end of input means that it has ended. Exit status: that of the program.

# Ignores signals of the terminal, because they are meant for the starting process.
trap '' HUP INT QUIT TERM

ending=$1
output=$2
shift 2

exec 3<&0
"$@" </dev/null >>"$output" 2>&1 3<&- &
program=$!

(
    while read -r signal; do
        kill -s "$signal" "$program"
    done
    # A stopped program handles the first signal only after the second.
    kill -s "$ending" "$program"
    kill -s CONT "$program"
) <&3 2>/dev/null &
listener=$!

wait "$program"
status=$?
kill -s KILL "$listener"
wait "$listener"
exit "$status"
