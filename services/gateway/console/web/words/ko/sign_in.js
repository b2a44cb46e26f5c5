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
};
