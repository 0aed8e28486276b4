#ifndef FILES_TREE_H
#define FILES_TREE_H

/* Copies all that is in the open directory `from` into the open, empty directory `to`, with owners,
 * modes and times, theirs too. No link is followed. -1 with errno; ELOOP: deeper than depth_max. */
int files_tree_copy(int from, int to, int depth_max);

#endif
