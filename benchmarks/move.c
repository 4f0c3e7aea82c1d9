/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The down-time of a live migration, as a multiple of the time that the memory takes which is copied
 * last. Prints KEY MEDIAN LEAST MOST, a line each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../tests/e2e/guest.h"

enum {
    N_MOVES = 5
};

void guest_fail(Guest *guest, const char *message)
{
    g_autofree char *tail = guest ? guest_console_tail(guest, 15) : NULL;

    fprintf(stderr, "%s\nmove: %s\n", tail ? tail : "", message);
    guest_free(guest);
    exit(EXIT_FAILURE);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Returns the guest's new minivmm. */
static Guest *move(Guest *guest, const char *options, double *ret_ratio)
{
    g_autofree char *folder = g_dir_make_tmp("move-XXXXXX", NULL);
    g_autofree char *with_socket = g_strdup_printf("%s --incoming %s/socket", options, folder);
    Guest *target = guest_start_moved(guest, "target", with_socket);
    double down, memory, sent;

    guest_wait_event(target, "migration: waiting");
    g_free(guest_command(guest, "migrate %s/socket 1000", folder));
    guest_wait_event(guest, "migration: done");
    if (sscanf(guest_event_text(guest),
               "migration: done: %lf MiB sent; down-time %lf ms, %lf of them", &sent, &down,
               &memory) != 3)
        guest_fail(guest, guest_event_text(guest));
    *ret_ratio = down / memory;
    guest_wait_exit(guest);
    guest_free(guest);
    rmdir(folder);
    return target;
}

static void measure(guint n_vcpus, guint mib)
{
    g_autofree char *options =
        g_strdup_printf("--its --vcpus %u --enabled 1 --mem %u --append quiet", n_vcpus, mib);
    g_autofree char *name = g_strdup_printf("move-n%u", n_vcpus);
    Guest *guest = guest_boot(name, options);
    double ratios[N_MOVES];

    for (guint i = 0; i < N_MOVES; i++)
        guest = move(guest, options, &ratios[i]);
    g_free(guest_run(guest, NULL, "true"));
    guest_free(guest);
    qsort(ratios, N_MOVES, sizeof(ratios[0]), compare);
    printf("move.ratio.n%u %.3f %.3f %.3f\n", n_vcpus, ratios[N_MOVES / 2], ratios[0],
           ratios[N_MOVES - 1]);
    fflush(stdout);
}

int main(void)
{
    measure(4, 256);
    measure(64, 256);
    measure(512, 1024);
    return EXIT_SUCCESS;
}
