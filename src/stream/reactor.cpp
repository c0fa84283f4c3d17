#include "stream/reactor.h"

#include "base/check.h"

namespace penstock::stream {

Result<Reactor::Registration> Reactor::add(SocketHandle socket, uint8_t interest,
                                           Handler& handler) {
  uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  Slot& slot = slots_[index];
  slot.handler = &handler;
  slot.socket = socket;
  slot.interest = interest;
  const Registration registration = (static_cast<uint64_t>(slot.generation) << 32) | index;
  if (auto status = poller_->add(socket, interest, registration); !status) {
    slot.handler = nullptr;
    free_.push_back(index);
    return fail(status.error());
  }
  return registration;
}

Reactor::Slot* Reactor::find(Registration registration) {
  const auto index = static_cast<uint32_t>(registration);
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.handler && slot.generation == static_cast<uint32_t>(registration >> 32) ? &slot
                                                                                      : nullptr;
}

void Reactor::set_interest(Registration registration, uint8_t interest) {
  Slot* slot = find(registration);
  CHECK(slot);
  if (slot->interest == interest) return;
  slot->interest = interest;
  poller_->modify(slot->socket, interest, registration);
}

void Reactor::remove(Registration registration) {
  Slot* slot = find(registration);
  CHECK(slot);
  poller_->remove(slot->socket);
  slot->handler = nullptr;
  // The top bit stays clear: ~0 is the poller's own token.
  slot->generation = (slot->generation + 1) & 0x7fffffff;
  free_.push_back(static_cast<uint32_t>(registration));
}

void Reactor::poll(int timeout_ms) {
  const auto events = poller_->wait(timeout_ms);
  // Mail first: what another shard told us before it answered its client must be known when that
  // client, or one it spoke to, reaches us through a socket.
  mailbox_.drain();
  if (paused_) return;
  for (const PollEvent& event : events)
    if (Slot* slot = find(event.token)) slot->handler->on_event(event);
}

}  // namespace penstock::stream
