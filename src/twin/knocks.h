#pragma once
// Who knocked and was not let in, and which certificates were shown: what tells a technician why a
// device is silent. In memory, bounded, since the server's start. Any thread.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"

namespace penstock::twin {

/// Refusals of one kind, newest data.
struct Refusals {
  std::string reason;  ///< a Denial's name
  uint64_t count = 0;
  Timestamp last;
  std::string peer;  ///< of the last one
};

class Knocks {
 public:
  explicit Knocks(size_t names_max = 10'000) : names_max_(names_max) {}

  /// `device` is what the client called itself: the least recently seen name makes room for a new
  /// one, so a stranger who tries many names costs memory for `names_max` at most.
  void refused(std::string_view device, std::string_view reason, std::string_view peer,
               Timestamp when);
  /// A verified certificate of a device that was let in.
  void admitted(std::string_view device, Timestamp certificate_expires);

  /// By count, most first; empty: none.
  [[nodiscard]] std::vector<Refusals> refusals(std::string_view device) const;
  /// When the certificate that the device showed last expires; 0: it showed none.
  [[nodiscard]] Timestamp certificate_expires(std::string_view device) const;

 private:
  struct Entry {
    std::string device;
    std::vector<Refusals> refusals;
    Timestamp certificate_expires;
  };
  Entry& entry(std::string_view device);
  [[nodiscard]] const Entry* find(std::string_view device) const;

  const size_t names_max_;
  mutable std::mutex guard_;
  std::list<Entry> order_;  // most recently seen first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace penstock::twin
