#pragma once
// One thread's event loop: sockets, mailbox, time. Knows nothing of protocols.

#include <functional>
#include <memory>
#include <vector>

#include "base/io.h"
#include "base/net.h"
#include "stream/mailbox.h"

namespace penstock::stream {

class Reactor {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_event(const PollEvent& event) = 0;
  };
  /// A registered socket: slot and generation, so that an event for a closed one finds nobody.
  using Registration = uint64_t;

  explicit Reactor(Net& net) : net_(net), poller_(net.make_poller()), mailbox_(*poller_) {}

  Result<Registration> add(SocketHandle socket, uint8_t interest, Handler& handler);
  void set_interest(Registration registration, uint8_t interest);
  /// Forgets the socket; does not close it.
  void remove(Registration registration);

  /// Any thread.
  void post(Mailbox::Task task) { mailbox_.post(std::move(task)); }

  /// Waits at most `timeout_ms` for sockets or mail and handles what came.
  void poll(int timeout_ms);

  /// While paused only mail is handled; sockets keep what they have. For the milliseconds of a
  /// checkpoint.
  void pause_sockets(bool paused) { paused_ = paused; }

  Net& net() { return net_; }

 private:
  struct Slot {
    Handler* handler = nullptr;
    SocketHandle socket = kNoSocket;
    uint32_t generation = 0;
    uint8_t interest = 0;
  };
  Slot* find(Registration registration);

  Net& net_;
  std::unique_ptr<Poller> poller_;
  Mailbox mailbox_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  bool paused_ = false;
};

}  // namespace penstock::stream
