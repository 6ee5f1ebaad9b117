# Removes a folder after all its users have ended, for any reason.
#
# Argument: the folder. Standard input: a pipe whose writers are the process that created the folder
# and all keepers of programs in it. The end of input means that all of them have ended. The script
# ignores the data.

trap '' HUP INT QUIT TERM

while read -r _; do :; done

# A killed process may still be writing its last file.
for _ in 1 2 3 4 5; do
    rm -rf -- "$1" && exit
    sleep 1
done
exit 1
