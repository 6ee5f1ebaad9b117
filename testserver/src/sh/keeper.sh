# Runs a program, and ends it when the process that asked for it has ended, for whatever reason.
#
# Arguments: the signal to end it by, the file for its output, the program, its arguments.
# Standard input: names of signals for the program, one a line. It is a pipe that only the asking
# process can write to, so its end is the end of that process.
# Exit status: that of the program.

# The signals of a terminal are for the process that asked; the program is ended by the pipe.
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
    # A program that was stopped would not notice the first signal without the second.
    kill -s "$ending" "$program"
    kill -s CONT "$program"
) <&3 2>/dev/null &
listener=$!

wait "$program"
status=$?
kill -s KILL "$listener"
wait "$listener"
exit "$status"
