/* commands.h - what main() calls: a function for each row of commands.def. Arguments without the command's name; returns an exit status. */
#ifndef RF_COMMANDS_H
#define RF_COMMANDS_H

#define COMMAND(name, synopsis, what) int cmd_##name(int argc, char **argv);
#include "ui/commands.def"
#undef COMMAND
#endif
