/* SPDX-License-Identifier: Apache-2.0 */
/* The table behind sqz_remove_temporaries: names of what is half written. A signal handler reads
 * it at any moment, so it is of fixed size, without locks, and holds pointers to names that stay
 * where they are until they are forgotten. */
#ifndef SQZI_TEMPORARIES_H
#define SQZI_TEMPORARIES_H

#include <stdbool.h>

#include <squeezebert/output.h>

/* Remember a name before it is made: relative to the open folder `folder`, or AT_FDCWD. The slot,
 * or -1 where the table is full: what is there is then left behind by a signal. */
int sqzi_temporary_add(int folder, const char *name, bool is_folder);
/* Before the name changes or its memory goes away. Waits for a handler that is removing it in
 * another thread. -1 is allowed. */
void sqzi_temporary_forget(int slot);

#endif
