// 로그인.
export default {
  "sign-in.title": "Headgate 로그인",
  "sign-in.with": "{name} 계정으로 로그인",
  "sign-in.password": "비밀번호",
  "sign-in.token": "토큰",
  "sign-in.username": "이름",
  "sign-in.code": "두 번째 인증 수단이 있으면 앱의 코드",
  "sign-in.token.field": "토큰",
  "sign-in.token.hint": "이 브라우저의 세션으로 바꾼 뒤 어디에도 남기지 않습니다.",
  "sign-in.go": "로그인",
  "sign-in.how": "로그인 방법",
  "sign-in.again": "세션이 끝났습니다. 다시 로그인하세요. 이 쪽은 그대로 남습니다.",
  "other-person.title": "이제 {now} 님으로 로그인되어 있습니다",
  "other-person.what": "이 쪽은 {was} 님이 열었습니다. 그 뒤 이 브라우저의 다른 탭에서 {now} 님이 로그인했으므로 더는 아무것도 보이거나 실행되지 않습니다. {was} 님이 다시 로그인하면 그대로 이어지며, {was} 님이 저장하지 않은 본문은 {was} 님에게만 보이도록 보관됩니다.",
  "other-person.go": "{now} 님으로 다시 불러오기",
};
