/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "base/temporaries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

/* A slot is filled and read by whoever brought it into FILLING or REMOVING. A thread that forgets
 * a name finds ARMED, REMOVED, or REMOVING for as long as a call of the system lasts. */
enum { FREE, FILLING, ARMED, REMOVING, REMOVED };

static struct slot {
    atomic_int state;
    int folder;
    const char *name;
    bool is_folder;
    long process; /* a child made by fork has the table, and nothing to remove */
} slots[SQZ_MAX_TEMPORARIES];

static bool move(struct slot *slot, int from, int to)
{
    return atomic_compare_exchange_strong(&slot->state, &from, to);
}

int sqzi_temporary_add(int folder, const char *name, bool is_folder)
{
    for (int i = 0; i < SQZ_MAX_TEMPORARIES; i++) {
        struct slot *slot = &slots[i];
        if (!move(slot, FREE, FILLING)) continue;
        slot->folder = folder;
        slot->name = name;
        slot->is_folder = is_folder;
        slot->process = (long)getpid();
        atomic_store(&slot->state, ARMED);
        return i;
    }
    return -1;
}

void sqzi_temporary_forget(int i)
{
    if (i < 0) return;
    while (!move(&slots[i], ARMED, FREE) && !move(&slots[i], REMOVED, FREE)) {}
}

static void remove_one(struct slot *slot, bool folders)
{
    if (!move(slot, ARMED, REMOVING)) return;
    int state = ARMED;
    if (slot->is_folder == folders && slot->process == (long)getpid() &&
        (unlinkat(slot->folder, slot->name, folders ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT))
        state = REMOVED;
    atomic_store(&slot->state, state);
}

/* Files first, then folders, whose own folders may come before them in the table. */
void sqz_remove_temporaries(void)
{
    const int kept = errno;
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < SQZ_MAX_TEMPORARIES; i++) remove_one(&slots[i], pass > 0);
    errno = kept;
}
