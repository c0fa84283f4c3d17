// Raw messages for people who edit bindings.

#include "api/testing/world.h"

namespace penstock::api::testing {
namespace {

class MessagesTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    views.tapped = {{3, now(), "p1", "plant/p1/data", "", R"({"t":1})", 7},
                    {4, now(), "", "plant/raw", "hall-2", "\xff\xfe", 2}};
  }
};

TEST_F(MessagesTest, TextAsTextAndBytesAsBase64) {
  const Reply reply = get("/messages?filter=plant/%23");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(views.last_tap.filter, "plant/#");
  ASSERT_EQ(reply.body["items"].size(), 2u);
  EXPECT_EQ(reply.body["items"][0]["payload"], R"({"t":1})");
  EXPECT_EQ(reply.body["items"][0]["bridge"], nullptr);
  EXPECT_EQ(reply.body["items"][1]["payload"], nullptr);
  EXPECT_EQ(reply.body["items"][1]["payload_base64"], "//4=");
  EXPECT_EQ(reply.body["after"], 4);
  EXPECT_EQ(get("/messages?device=p1&after=4").body["items"].size(), 0u);
  EXPECT_EQ(views.last_tap.device, "p1");
}

TEST_F(MessagesTest, NeedAQuestionAndTheRight) {
  EXPECT_EQ(get("/messages").status, 400);
  EXPECT_EQ(get("/messages?filter=a&after=x").status, 400);
  const auto ask = [&](const std::string& token) {
    return call(Method::kGet, "/messages?filter=a", nullptr, token).status;
  };
  EXPECT_EQ(ask(token_of(access::Role::kTechnician)), 200);
  EXPECT_EQ(ask(token_of(access::Role::kExecutive)), 403);
  make_compressor();
  EXPECT_EQ(ask(token_of(access::Role::kEngineer,
                         {twins->sites(administrator.organisation, "", {}).items.front()->id})),
            403);
}

}  // namespace
}  // namespace penstock::api::testing
