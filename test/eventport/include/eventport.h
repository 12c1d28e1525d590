// SPDX-License-Identifier: BSD-2-Clause
// Functions that tests call in the model itself. They are not part of event ports.
#ifndef KQ_EVENTPORT_H
#define KQ_EVENTPORT_H

#ifdef __cplusplus
extern "C" {
#endif

// Sets the knobs of README.md. The text has the form of the environment variable KQ_PORT:
// "max_events=8,stale=0.5". Knobs that are not named get their default values. "" or a null pointer
// sets all of them to their defaults. Aborts if the text has an unknown name.
void eventport_knobs(const char* text);

// Whether this descriptor belongs to the model, not to the program. Counts must leave it out.
int eventport_hidden(int fd);

#ifdef __cplusplus
}
#endif

#endif
