// SPDX-License-Identifier: BSD-2-Clause
// Subscriptions and letters. See process_hub.h.
#include "process_hub.h"

#include <stdio.h>

#include <atomic>
#include <new>

#include "alloc.h"
#include "hash_index.h"

namespace kq::process_hub {
namespace {

// One for each pair of kqueue and process.
struct Subscription {
    Subscription* chain = nullptr;
    Mailbox* mailbox = nullptr;
    int32_t pid = 0;
    bool tracks = false;
    bool exited = false;  // at least its first thread has
    uint8_t kept = 0;     // bits by ProcessNews::What: news without a letter
    int32_t status = 0;   // of a kept exit
    [[nodiscard]] uint64_t hash_key() const { return static_cast<uint32_t>(pid); }
};

// Made for the first subscription, destroyed with the last.
struct Hub {
    HashIndex<Subscription> subscriptions;
};

constinit SharedMutex mutex;
Hub* hub KQ_GUARDED_BY(mutex) = nullptr;

// A kqueue on which kevent() is never called must not fill the memory with letters.
constexpr int kMostLetters = 1 << 16;
constexpr int kBatch = 32;
constexpr int kMostBatches = 512;  // in one call, if news never stop coming

Subscription* find(int32_t pid, const Mailbox& mailbox) KQ_REQUIRES(mutex) {
    return hub->subscriptions.find(
        static_cast<uint32_t>(pid),
        [pid, &mailbox](const Subscription& s) { return s.pid == pid && s.mailbox == &mailbox; });
}

bool add(int32_t pid, Mailbox& mailbox, bool tracks) KQ_REQUIRES(mutex) {
    Owned<Subscription> fresh = make<Subscription>();
    if (!fresh || !hub->subscriptions.reserve()) return false;
    fresh->mailbox = &mailbox;
    fresh->pid = pid;
    fresh->tracks = tracks;
    hub->subscriptions.insert(fresh.release());
    mailbox.letters.subscriptions++;
    return true;
}

void remove(Subscription* subscription) KQ_REQUIRES(mutex) {
    subscription->mailbox->letters.subscriptions--;
    hub->subscriptions.remove(subscription);
    Owned<Subscription>(subscription).reset();
}

// ---- letters ----

uint8_t bit_of(ProcessNews::What what) {
    return static_cast<uint8_t>(1u << static_cast<unsigned>(what));
}

bool write_letter(Mailbox& mailbox, const ProcessNews& news) KQ_REQUIRES(mutex) {
    Letters& letters = mailbox.letters;
    Owned<Letter> letter = letters.count < kMostLetters ? make<Letter>() : Owned<Letter>();
    if (!letter) return false;
    letter->news = news;
    Letter* fresh = letter.release();
    (letters.last == nullptr ? letters.first : letters.last->next) = fresh;
    letters.last = fresh;
    letters.count++;
    return true;
}

// Keeps news for which no letter could be written.
void keep(Subscription& subscription, const ProcessNews& news) KQ_REQUIRES(mutex) {
    subscription.kept |= bit_of(news.what);
    if (news.what == ProcessNews::What::exited) subscription.status = news.arg;
    subscription.mailbox->letters.kept = true;
}

// Rings the owner of the mailbox, except if that is the queue that is reading anyway.
void ring(const Mailbox& mailbox, const Mailbox* reader) {
    if (&mailbox != reader) (void)post_to<Backend>(mailbox.descriptor.load(), mailbox.tag.load());
}

bool anybody(int32_t pid) KQ_REQUIRES(mutex) {
    return hub->subscriptions.find(static_cast<uint32_t>(pid), [pid](const Subscription& s) {
        return s.pid == pid;
    }) != nullptr;
}

// A child of a tracked process is subscribed to before its letter is written, so that nothing it
// does is missed. If the letter cannot be written, the subscription is undone.
void tell_one(Mailbox& mailbox, const ProcessNews& news) KQ_REQUIRES(mutex) {
    Subscription* subscription = find(news.pid, mailbox);
    if (subscription == nullptr) return;
    if (news.what == ProcessNews::What::exited) subscription->exited = true;
    const bool birth = news.what == ProcessNews::What::forked && subscription->tracks &&
                       find(news.arg, mailbox) == nullptr;
    // Letters are read before kept news, and a birth must be read before what the child did. All
    // other news of a process come in order.
    const bool follows = !birth && subscription->kept != 0;
    if (follows || (birth && !add(news.arg, mailbox, true))) {
        keep(*subscription, news);
    } else if (!write_letter(mailbox, news)) {
        keep(*subscription, news);
        if (birth) remove(find(news.arg, mailbox));
    }
}

// Tells all who asked for this process.
void tell_all(const ProcessNews& news, const Mailbox* reader) KQ_REQUIRES(mutex) {
    if (!anybody(news.pid)) return;
    mailbox::for_each([&news, reader](Mailbox& box) KQ_NO_ANALYSIS {
        if (box.letters.subscriptions == 0) return;
        const int before = box.letters.count;
        tell_one(box, news);
        if (box.letters.count != before || box.letters.kept) ring(box, reader);
    });
}

// A new process gets a number that was used before: subscriptions to the earlier process end.
void end_former(int32_t pid) KQ_REQUIRES(mutex) {
    for (;;) {
        Subscription* former = hub->subscriptions.find(
            static_cast<uint32_t>(pid),
            [pid](const Subscription& s) { return s.pid == pid && s.exited; });
        if (former == nullptr) return;
        if (former->kept != 0) former->mailbox->letters.lost = true;
        remove(former);
    }
}

void tell_lost(const Mailbox* reader) KQ_REQUIRES(mutex) {
    mailbox::for_each([reader](Mailbox& box) KQ_NO_ANALYSIS {
        if (box.letters.subscriptions == 0) return;
        box.letters.lost = true;
        ring(box, reader);
    });
}

void distribute_to(const Mailbox* reader) KQ_REQUIRES(mutex) {
    if (hub == nullptr) return;
    ProcessNews news[kBatch];
    for (int i = 0; i < kMostBatches; i++) {
        const Result<size_t> got = processes::hear(news);
        if (!got.ok()) {
            tell_lost(reader);
            continue;
        }
        for (size_t n = 0; n < got.value(); n++) {
            if (news[n].what == ProcessNews::What::forked) end_former(news[n].arg);
            tell_all(news[n], reader);
        }
        if (got.value() == 0) return;
    }
}

// ---- listening ----

Errno refuse(const char* why) {
    static constinit std::atomic<bool> said{false};
    if (!said.exchange(true)) {
        char line[200];
        (void)snprintf(
            line, sizeof line,
            "libkqueue: NOTE_FORK, NOTE_EXEC and NOTE_TRACK need the process connector: %s", why);
        say(line);
    }
    return Errno::unsupported;
}

Errno begin() KQ_REQUIRES(mutex) {
    if (hub != nullptr) return Errno::ok;
    Owned<Hub> fresh = make<Hub>();
    if (!fresh) return Errno::no_memory;
    const char* why = nullptr;
    const Errno error = processes::listen(why);
    if (error == Errno::unsupported) return refuse(why);
    if (error != Errno::ok) return error;
    hub = fresh.release();
    return Errno::ok;
}

void end_if_idle() KQ_REQUIRES(mutex) {
    if (hub == nullptr || hub->subscriptions.size() != 0) return;
    processes::stop_listening();
    Owned<Hub>(hub).reset();
    hub = nullptr;
}

}  // namespace

// Actions of the process before this call are not news to this kqueue. So they are distributed
// before it is subscribed.
Errno subscribe(KnoteQueue& kq, int32_t pid, bool tracks) {
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return Errno::no_memory;
    mailbox->has_subscribed.store(true);
    const Guard guard(mutex);
    Errno error = begin();
    if (error != Errno::ok) return error;
    distribute_to(nullptr);  // rings this queue, too: it does not read now
    Subscription* subscription = find(pid, *mailbox);
    if (subscription != nullptr) {
        subscription->tracks = tracks;
        return Errno::ok;
    }
    if (mailbox->letters.subscriptions == 0) error = kq.backend().hear_processes(true);
    if (error == Errno::ok && !add(pid, *mailbox, tracks)) {
        error = Errno::no_memory;
        if (mailbox->letters.subscriptions == 0) (void)kq.backend().hear_processes(false);
    }
    end_if_idle();
    return error;
}

void unsubscribe(KnoteQueue& kq, int32_t pid) {
    Mailbox* mailbox = kq.mailbox();
    if (mailbox == nullptr) return;
    const Guard guard(mutex);
    Subscription* subscription = hub == nullptr ? nullptr : find(pid, *mailbox);
    if (subscription == nullptr) return;
    remove(subscription);
    // Done before the source is closed: later its number may name another file. A queue that was
    // closed has lost the source already.
    if (mailbox->letters.subscriptions == 0 && kq.exists())
        (void)kq.backend().hear_processes(false);
    end_if_idle();
}

void distribute(KnoteQueue& kq) {
    const Mailbox* mailbox = kq.mailbox();
    const Guard guard(mutex);
    distribute_to(mailbox);
}

Letter* take_letters(Mailbox& mailbox, bool& lost) {
    const Guard guard(mutex);
    Letters& letters = mailbox.letters;
    lost = letters.lost;
    Letter* first = letters.first;
    letters.first = letters.last = nullptr;
    letters.count = 0;
    letters.lost = false;
    return first;
}

bool take_kept(Mailbox& mailbox, ProcessNews& news) {
    using What = ProcessNews::What;
    const Guard guard(mutex);
    Subscription* one = nullptr;
    if (hub != nullptr && mailbox.letters.kept)
        hub->subscriptions.for_each([&one, &mailbox](Subscription* s) {
            if (s->mailbox == &mailbox && s->kept != 0) one = s;
        });
    mailbox.letters.kept = one != nullptr;
    if (one == nullptr) return false;
    for (const What what : {What::forked, What::executed, What::exited}) {
        if ((one->kept & bit_of(what)) == 0) continue;
        one->kept &= static_cast<uint8_t>(~bit_of(what));
        news = {what, one->pid, what == What::exited ? one->status : 0};
        break;
    }
    return true;
}

void forget(Mailbox& mailbox) {
    const Guard guard(mutex);
    // Subscriptions to children whose letter was not read.
    if (mailbox.letters.subscriptions > 0)
        hub->subscriptions.for_each([&mailbox](Subscription* s) KQ_NO_ANALYSIS {
            if (s->mailbox == &mailbox) remove(s);
        });
    end_if_idle();
    for (Letter* letter = mailbox.letters.first; letter != nullptr;) {
        Owned<Letter> dead(letter);
        letter = letter->next;
    }
    mailbox.letters = Letters{};
}

// ---- fork ----

void lock_before_fork() KQ_NO_ANALYSIS {
    mutex.lock();
}

void unlock_in_parent() KQ_NO_ANALYSIS {
    mutex.unlock();
}

// Runs before the parent's kqueues are destroyed, so they find no hub. The listener belongs to the
// parent, too, and must not be told to stop.
void after_fork_in_child(bool clean) KQ_NO_ANALYSIS {
    if (clean && hub != nullptr) {
        processes::abandon_in_child();
        hub->subscriptions.for_each([](Subscription* s) KQ_NO_ANALYSIS { remove(s); });
        Owned<Hub>(hub).reset();
        hub = nullptr;
    }
    mutex.unlock();
}

void begin_anew_in_copy() KQ_NO_ANALYSIS {
    ::new (&mutex) SharedMutex;
    if (hub != nullptr) processes::abandon_in_child();
    hub = nullptr;
    mailbox::for_each([](Mailbox& box) { box.letters = Letters{}; });
}

}  // namespace kq::process_hub
