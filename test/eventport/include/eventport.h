// SPDX-License-Identifier: BSD-2-Clause
// What tests may ask of the model itself: not part of event ports.
#ifndef KQ_EVENTPORT_H
#define KQ_EVENTPORT_H

#ifdef __cplusplus
extern "C" {
#endif

// Sets the knobs of README.md, in the form of the environment variable KQ_PORT:
// "max_events=8,stale=0.5". Those that are not named get their default values; so all of them with
// "" or a null pointer. Aborts at a name that it does not know.
void eventport_knobs(const char* text);

// Whether this descriptor belongs to the model, not to the program: to be left out of counts.
int eventport_hidden(int fd);

#ifdef __cplusplus
}
#endif

#endif
